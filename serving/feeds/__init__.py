"""Lists that are pushed: which feeds have to be looked at, in what order, and who gets what.

It knows neither sockets nor HTTP: `serving.http.feed` is the one that sends.
"""
