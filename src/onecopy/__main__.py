"""`python -m onecopy`: the command line, also where its script is not on the path."""

from onecopy.cli import main

if __name__ == "__main__":
    main()
