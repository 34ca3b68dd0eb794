"""Workers of the queue ``file_processing``; at most two pictures at a time, they cost CPU."""

from pathlib import Path
from typing import Any

from django.conf import settings

from demo.file_processing import services
from queuecore import Job, UnrecoverableError, processor


@processor("file_processing", name="thumbnails", concurrency=2)
def thumbnails(job: Job) -> list[dict[str, Any]]:
    """All thumbnails of one picture of the inbox."""
    job.log(f"reading {job.data['picture']}")
    try:
        made = services.make_thumbnails(job.data["picture"], job.update_progress)
    except services.BadPicture as error:
        raise UnrecoverableError(str(error)) from error
    for thumbnail in made:
        job.log("{file}: {width} x {height}, {bytes} bytes".format(**thumbnail))
    return made


@processor("file_processing", name="catalogue")
def catalogue(job: Job) -> dict[str, Any]:
    """The shop's catalogue of its newest pictures; without any yet, a later try finds some."""
    return services.make_catalogue(job.data["pages"], job.update_progress)


@processor("file_processing", name="tidy")
def tidy(job: Job) -> dict[str, int]:
    """Keep the demo small: the newest pictures and mails stay, older ones go."""
    keep = job.data["keep"]
    return {
        "originals": services.tidy(services.folder("originals"), keep),
        "thumbnails": services.tidy(services.folder("thumbnails"), keep * len(services.SIZES)),
        "mails": services.tidy(Path(settings.MEDIA_ROOT).parent / "mail", keep),
    }
