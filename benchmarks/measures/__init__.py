"""How runs are measured: functions of a run and the settings of its cell."""
