"""An Airflow provider: `operators.TrainingRunOperator`, `sensors.TrainingRunSensor` and `triggers.TrainingRunTrigger`.

This module imports nothing: Airflow asks `provider` of every installed package whenever it starts.
"""
