"""What an update is made of, one question a file; `lifecycle.update` puts them in order.

batches      new files as rows in the champion's terms, kept sealed, known by digest
history      which release is the champion, what it learned from, and what of that is trusted
vetting      poison and drift among the rows since the trusted state
preparing    a batch taken in, vetted, put together with what is known
comparing    two models on the same rows: differences with intervals (pure)
fairness     gaps between groups, and how they changed (pure)
contest      challenger, champion and trusted model on the same rows, as evidence for the gate
triggers     when an update is due
"""
