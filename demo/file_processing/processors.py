"""Workers of the queue ``file_processing``; at most two pictures at a time, they cost CPU."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from demo.file_processing import services
from queuecore import Job, Processor, UnrecoverableError, named, processor


@dataclass
class Picture:
    """The data of ``thumbnails``: the name of a file in the inbox."""

    picture: str


@dataclass
class Catalogue:
    """The data of ``catalogue``: how many pages it has."""

    pages: int


@dataclass
class Tidy:
    """The data of ``tidy``: how many pictures and mails stay."""

    keep: int


@processor("file_processing", concurrency=2)
class Pictures(Processor):
    """One method a job name; a job whose data is not of its type fails and says which field."""

    @named("thumbnails")
    def thumbnails(self, job: Job[Picture]) -> list[dict[str, Any]]:
        """All thumbnails of one picture of the inbox."""
        job.log(f"reading {job.payload.picture}")
        try:
            made = services.make_thumbnails(job.payload.picture, job.update_progress)
        except services.BadPicture as error:
            raise UnrecoverableError(str(error)) from error
        for thumbnail in made:
            job.log("{file}: {width} x {height}, {bytes} bytes".format(**thumbnail))
        return made

    @named("catalogue")
    def catalogue(self, job: Job[Catalogue]) -> dict[str, Any]:
        """The shop's catalogue of its newest pictures; without any yet, a later try finds some."""
        return services.make_catalogue(job.payload.pages, job.update_progress)

    @named("tidy")
    def tidy(self, job: Job[Tidy]) -> dict[str, int]:
        """Keep the demo small: the newest pictures and mails stay, older ones go."""
        keep = job.payload.keep
        return {
            "originals": services.tidy(services.folder("originals"), keep),
            "thumbnails": services.tidy(services.folder("thumbnails"), keep * len(services.SIZES)),
            "mails": services.tidy(Path(settings.MEDIA_ROOT).parent / "mail", keep),
        }
