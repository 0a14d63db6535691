"""What survives a crash: alerts, incidents, deliveries, and what is needed to go on after a restart.

The store knows rows and transactions. It never decides anything, and never knows who writes or reads it.
"""
