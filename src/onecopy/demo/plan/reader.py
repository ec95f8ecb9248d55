from onecopy.demo.check import Check


def output_seen_elsewhere(plan):
    return Check("x", True)
