"""The probe engine: runs checks on time, within hard limits, and says what it saw. Imports no Django."""
