"""How the gateway gets into Azure: Bicep templates and the commands around them (docs/deploy.md)."""
