"""`workspaced diagram`: the machine, drawn by itself."""

import click

from workspaced.app.commands import options


@click.command()
@click.option("--format", "form", type=click.Choice(["mermaid", "table", "both"]), default="both", show_default=True)
@options.as_json
def diagram(*, form: str, as_json: bool) -> None:
    """Print the state machine: a mermaid diagram, a Markdown table."""
    from workspaced.app.render import print_json, say_all
    from workspaced.fsm import drawing

    drawn = {"mermaid": drawing.diagram(), "table": drawing.table()}
    chosen = {name: text for name, text in drawn.items() if form in {name, "both"}}
    if as_json:
        print_json(chosen)
    else:
        say_all("\n\n".join(text.strip() for text in chosen.values()))
