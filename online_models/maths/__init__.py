"""The maths, pure and numpy only: functions of their arguments, importing nothing of ours."""
