"""What a language model may do with the fleet's memory, and what it is told from it.

``action`` and the modules named ``*_actions`` know no framework; the others are for LionAGI and
need ``aqe-fleet[lionagi]``.
"""
