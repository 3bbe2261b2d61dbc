"""`python -m pipeline` is the same as `inkproof`."""

from pipeline.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
