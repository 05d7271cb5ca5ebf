"""What a network can express by its size, its signs or its scales alone, without trained weights.

- `subset_sum`: every weight of a network is a subset sum of a few random numbers.
- `binary`: pruning random weights of +1 and -1 leaves any network, exactly, to k bits.
- `threshold`: about sqrt(n) gates memorise n points with any labels.
- `norm_tuning`: a random network becomes any smaller one by its normalisation parameters alone.
- `looped`: a transformer of fixed weights, run in a loop, executes programs.

Chapters share `relu`, the networks that they look for and the search for their largest error, and
`edge_popup`, pruning by learnt scores. Nothing here knows of other parts.
"""
