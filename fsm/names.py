"""Names of workspaces: which are valid, and how one is made (domain.md 4.1)."""

import re

from workspaced.fsm.ids import Ids

LONGEST = 32
LONGEST_BASE = 27
RESERVED = ("new", "create")

_VALID = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", re.ASCII)
_ADJECTIVES = (
    "amber", "brave", "calm", "clever", "eager", "fair", "gentle", "happy", "keen", "lively", "lucid", "mellow",
    "noble", "quick", "quiet", "rapid", "sharp", "steady", "sunny", "swift", "vivid", "warm", "wise", "zesty",
)  # fmt: skip
_NOUNS = (
    "anchor", "arbor", "beacon", "bridge", "canyon", "comet", "delta", "ember", "falcon", "forge", "garden", "harbor",
    "island", "lantern", "meadow", "orbit", "pebble", "quarry", "river", "summit", "thicket", "valley", "willow",
)  # fmt: skip
_SURNAMES = (
    "curie", "darwin", "euler", "faraday", "franklin", "gauss", "hopper", "hypatia", "kepler", "lamarr", "lovelace",
    "meitner", "newton", "noether", "pascal", "planck", "ramanujan", "shannon", "tesla", "turing", "volta", "wu",
)  # fmt: skip


def name_fault(name: str) -> str | None:
    """Why `name` is not valid; None when it is."""
    if not name:
        return "must be >= 1 character"
    if len(name.encode()) > LONGEST:
        return f"must be <= {LONGEST} characters"
    if name in RESERVED:
        return f'cannot use "{name}" as a name'
    return None if _VALID.fullmatch(name) else "must be alphanumeric with hyphens"


def generate_name(seed: str, ids: Ids) -> str:
    """A valid name that begins like `seed` and ends in four random hex digits."""
    base = clean_name(seed.strip().lower(), ids) if seed.strip() else "workspace"
    if len(base.encode()) > LONGEST_BASE:
        base = base.encode()[:LONGEST_BASE].decode(errors="ignore").strip("-") or "workspace"
    name = f"{base}-{ids.below(0x10000):04x}"
    return name if name_fault(name) is None else f"{_pick(_ADJECTIVES, ids)}-{_pick(_SURNAMES, ids)}{ids.below(10)}"


def clean_name(text: str, ids: Ids) -> str:
    """`text` itself when valid, else what is left of it without foreign characters, else a random name."""
    if name_fault(text) is None:
        return text
    cleaned = re.sub(r"[^A-Za-z0-9-]", "", text.rpartition("@")[0] if "@" in text else text)
    return cleaned if name_fault(cleaned) is None else f"{_pick(_ADJECTIVES, ids)}-{_pick(_NOUNS, ids)}"


def _pick(words: tuple[str, ...], ids: Ids) -> str:
    return words[ids.below(len(words))]
