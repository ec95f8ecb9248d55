"""What can go wrong, or be done to a store on purpose: one file for each kind of trouble.

ONECOPY_TEST_ROUNDS multiplies the rounds of the tests that try their luck.
"""
