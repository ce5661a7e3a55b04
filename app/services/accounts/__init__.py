"""What accounts ask for that reaches beyond them: registration, mail, export, deletion."""
