"""The maths: pure functions of arrays, with numpy and scipy, importing nothing else of ours."""
