"""What backends of database servers share: connections, limits, notifications, migrations."""
