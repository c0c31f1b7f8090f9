"""What a card must say of a model of transactions."""


def limitations(task) -> str:
    """Markdown."""
    recipe = task.recipe
    parts = [
        f"It looks at {len(recipe.features)} numbers of a transaction"
        + (
            f", among them windows of {', '.join(recipe.windows)} over the past of {_and(recipe.layout.entities)}"
            if recipe.layout.entities
            else ""
        )
        + ". Without that past (`--history`, `--state`) a transaction looks like the first of its card."
    ]
    if recipe.layout.fraud_rate_by:
        parts.append(
            f"A fraud counts as known {task.label_delay / 86_400e6:g} days after it happened; what was not called fraud by then counts "
            f"as genuine, in the rates of {_and(recipe.layout.fraud_rate_by)}."
        )
    if task.exclude_known_fraud:
        parts.append("Cards known as defrauded before a test day are left out of it.")
    if task.unsupervised:
        parts.append(
            "It was trained without labels: it says how unusual a transaction is, as the share of usual ones that are less so, "
            "and an alert is one in a thousand of these. Unusual is not fraud."
        )
    else:
        parts.append(
            f"An alert without a budget is a probability of {task.threshold:g} or more. Intervals are bootstrapped over cards. Card "
            f"precision is the share of defrauded cards among the {task.budget} riskiest of a day; a card once found is not "
            "checked again. Fraud changes: train again when the scores of new labels fall."
        )
    return "\n\n".join(parts)


def _and(names) -> str:
    return " and ".join(names)
