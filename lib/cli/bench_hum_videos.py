"""`crossmodal bench hum-videos`: hums find films by their music, step by step."""

from typing import Annotated

from typer import Option

from lib.cli.output import counted, print_rows, progress_bar, say


def bench_hum_videos(
    show: Annotated[bool, Option("--show", help="Only print the committed tables.")] = False,
) -> None:
    """Measure hums to videos by stage, and write the tables (half an hour; Festival is needed).

    A stopped run continues where it was.
    """
    from lib.studies import hum_videos

    if not show:
        with progress_bar() as bar:
            hum_videos.write_committed(say, counted(bar, "melodies of a stage"))
    print_rows(hum_videos.format_methods(), "melodies pulled from the mix, validation clips")
    print_rows(
        hum_videos.format_stages(),
        "hums to 300 clips, MRR over the first 20; intervals by family of tunes",
    )
    say(hum_videos.sentence_of_stages())
    say("The melody leads and has no words or noise over it; music of real videos is harder.")
