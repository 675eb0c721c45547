"""The judge: what a log's people did next, against what was recommended to them just before.

Law: predict, then learn. Requests are asked in one global order of time, each from state strictly
before it; everyone who is judged answers the same requests over the same items.
"""
