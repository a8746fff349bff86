"""The machine as people read it: its moves, listed and drawn from the class itself, so that no picture can differ."""

from workspaced.fsm.machine import Provisioning


def moves() -> list[tuple[str, str, str, str]]:
    """Every move there is: (from, event or "", guard or "", to), in the order in which the machine looks at them."""
    return [
        (node.id, str(move.event) if move.event else "", " and ".join(map(str, move.cond)), move.target.id)
        for node in Provisioning.states
        for move in node.transitions
        if not move.internal and move.target is not None
    ]


def diagram() -> str:
    """The machine as a mermaid diagram: each pair of states once, the guards are in the table."""
    pairs = dict.fromkeys((source, target) for source, _, _, target in moves() if source != target)
    arrows = "\n".join(f"    {source} --> {target}" for source, target in pairs)
    return f"stateDiagram-v2\n    direction LR\n    [*] --> idle\n{arrows}\n"


def table() -> str:
    """The machine's moves as a Markdown table, each guard with what it means."""
    rows = [
        f"| {source} | {target} | {event or guard} | {_meaning(event, guard)} |"
        for source, event, guard, target in moves()
    ]
    return "\n".join(["| from | to | moved by | which means |", "|---|---|---|---|", *rows]) + "\n"


_EVENTS = {"expire": "The state's deadline has passed.", "retry": "A command sends it back to what it waited for."}


def _meaning(event: str, guard: str) -> str:
    told = (getattr(Provisioning, guard).__doc__ or "").strip() if guard else ""
    return " ".join(part for part in (_EVENTS.get(event, ""), told) if part)
