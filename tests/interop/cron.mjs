// When cron patterns are due by the parser that BullMQ uses: node cron.mjs FOLDER < [[pattern, tz, after], ...]
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const { CronExpressionParser } = createRequire(`${process.argv[2]}/`)("cron-parser");
const COUNT = 3;

const answers = JSON.parse(readFileSync(0)).map(([pattern, tz, after]) => {
  let runs;
  try {
    const next = CronExpressionParser.parse(pattern, { currentDate: new Date(after), tz });
    runs = [];
    while (runs.length < COUNT) runs.push(next.next().getTime());
    return runs;
  } catch (error) {
    // Read, but never due (again): what there is.
    return runs === undefined ? String(error.message) : runs;
  }
});
process.stdout.write(JSON.stringify(answers));
