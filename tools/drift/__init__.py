"""Checks that keep prose, notebooks and package together.

Each check takes the root of the repository and returns complaints: sentences that name
the file, the cell and what to do. No complaint means that nothing has drifted.
"""
