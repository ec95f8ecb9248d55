"""`python -m onecopy.cli`: the same as the command `onecopy`."""

from onecopy.cli import main

if __name__ == "__main__":
    main()
