"""A server under load, while its cluster changes and all around it fails: `python -m tests.soak --help`.

    world: what there is in the cluster, and so what every answer has to be
    setting: the processes: an API server, an upstream, clusterdns
    load: clients that ask all the time, and judge each reply; faults: what goes wrong, by a seed
    sampling: memory and descriptors; __main__: all of it together, and the verdict

Nothing of it shares code with the server: replies are read by dnspython.
"""
