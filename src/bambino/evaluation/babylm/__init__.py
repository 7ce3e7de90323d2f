"""BabyLM's evaluation as its organizers do it: questions, reading times, words over revisions, and the files that their
collator reads."""
