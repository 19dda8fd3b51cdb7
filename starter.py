"""Where operators start: ``python starter.py --help``."""

from precinto.cli import main

if __name__ == "__main__":
    main()
