"""Programs that do to a loop what no program should; none may crash."""
