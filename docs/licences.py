"""What everything we install is licensed under: `python -P docs/licences.py` lists it, exit code 1 for an unknown one.

Read from the installed packages themselves, so it needs no network. `make check` runs it.
"""

import sys
from importlib.metadata import Distribution, distributions

ALLOWED = ("MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "MPL", "Mozilla")
"""Their beginnings in the three ways in which packages say it. MPL: unchanged files of theirs, nothing of ours."""


def licence_of(package: Distribution) -> str:
    """As its metadata say: the expression, else the classifiers, else the first line of the text; empty for none."""
    told = package.metadata
    classifiers = [
        text.rpartition("::")[2].strip()
        for text in told.get_all("Classifier", [])
        if text.startswith("License ::") and "OSI Approved" in text
    ]
    lines = (told.get("License") or "").strip().splitlines()
    return told.get("License-Expression") or ", ".join(classifiers) or (lines[0] if lines else "")


def main() -> int:
    """List them; 1 when one is none of the allowed."""
    found = sorted((package.name, package.version, licence_of(package)) for package in distributions())
    odd = [name for name, _, licence in found if not licence.startswith(ALLOWED)]
    if "--check" not in sys.argv:
        for name, version, licence in found:
            print(f"{name:<28} {version:<16} {licence}")
    for name in odd:
        print(f"{name}: no licence that is allowed; see docs/licences.py", file=sys.stderr)
    return 1 if odd else 0


if __name__ == "__main__":
    sys.exit(main())
