"""Backends that Freshet starts itself: a broker and a Redis for the demo, Apache Kafka to stay.

They are for one machine and bind to loopback. Each runs as a process of its own that ends with
the process that started it, and is handed to the rest of Freshet only as an address.
"""
