"""Makes samples/fraud: simulated card transactions of people who pay near home, with two kinds of fraud.

    python samples/make_fraud.py

For two weeks, a leaked card now and then pays several times its owner's usual amount; for four weeks, all
payments at a tampered terminal are copied. The customers are made up.
"""

import csv
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

OUT = Path(__file__).parent / "fraud"
SEED = 20261121
START = datetime(2026, 1, 5)
DAYS = 70
CUSTOMERS, TERMINALS = 80, 90
KINDS = ("groceries", "fuel", "restaurant", "clothes", "travel", "online")
HEADER = ("id", "time", "customer", "terminal", "kind", "amount", "fraud")

Transaction = tuple[datetime, int, int, str, float, int]
"""Time, customer, terminal, kind, amount, fraud."""


@dataclass
class Population:
    """Customers and terminals.

    Attributes:
        random: source of all numbers.
        usual_amounts: of each customer.
        daily_rates: mean transactions per day of each customer.
        nearest: terminals that each customer pays at.
        kinds: index in KINDS of each terminal.
    """

    random: np.random.Generator
    usual_amounts: np.ndarray = field(init=False)
    daily_rates: np.ndarray = field(init=False)
    nearest: list[np.ndarray] = field(init=False)
    kinds: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.usual_amounts = self.random.lognormal(3.3, 0.6, CUSTOMERS)
        self.daily_rates = self.random.gamma(4, 0.27, CUSTOMERS)
        homes, terminals = self.random.random((CUSTOMERS, 2)), self.random.random((TERMINALS, 2))
        distances = np.linalg.norm(homes[:, None] - terminals[None], axis=2)
        self.nearest = [np.argsort(row)[:12] for row in distances]
        self.kinds = self.random.integers(len(KINDS), size=TERMINALS)

    def compromise(self, count: int, total: int, days: int) -> dict[int, range]:
        """The days on which `count` of `total` customers or terminals are compromised, by number."""
        numbers = self.random.choice(total, count, replace=False)
        starts = {int(number): int(self.random.integers(0, DAYS - 3)) for number in numbers}
        return {number: range(start, start + days) for number, start in starts.items()}


def simulate(random: np.random.Generator) -> list[Transaction]:
    """All transactions in the order of time."""
    population = Population(random)
    leaked = population.compromise(30, CUSTOMERS, 14)
    tampered = population.compromise(9, TERMINALS, 28)
    rows = []
    for day in range(DAYS + 1):
        for customer in range(CUSTOMERS):
            for _ in range(random.poisson(population.daily_rates[customer])):
                second = int(np.clip(random.normal(50_000, 16_000), 0, 86_399))
                terminal = int(random.choice(population.nearest[customer]))
                amount = population.usual_amounts[customer] * random.lognormal(0, 0.45)
                is_stolen = day in leaked.get(customer, ()) and random.random() < 0.4
                amount *= random.uniform(3.5, 7) if is_stolen else 1
                is_fraud = is_stolen or day in tampered.get(terminal, ())
                when = START + timedelta(days=day, seconds=second)
                kind = KINDS[population.kinds[terminal]]
                rows.append((when, customer, terminal, kind, round(amount, 2), int(is_fraud)))
    return sorted(rows)


def format_row(number: int, transaction: Transaction) -> tuple:
    """A row of the CSV, in the order of HEADER."""
    when, customer, terminal, kind, amount, fraud = transaction
    ids = f"C{customer:03}", f"S{terminal:03}"
    return (f"T{number:05}", when.isoformat(" "), *ids, kind, f"{amount:.2f}", fraud)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    transactions = simulate(np.random.default_rng(SEED))
    rows = [format_row(number, transaction) for number, transaction in enumerate(transactions, 1)]
    tomorrow = (START + timedelta(days=DAYS)).isoformat(" ")
    write("transactions.csv", HEADER, [row for row in rows if row[1] < tomorrow])
    write("tomorrow.csv", HEADER[:-1], [row[:-1] for row in rows if row[1] >= tomorrow])


def write(name: str, header: tuple[str, ...], rows: list[tuple]) -> None:
    with open(OUT / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    frauds = sum(row[-1] for row in rows) if header == HEADER else "unknown"
    print(f"{name}: {len(rows)} transactions, frauds {frauds}")


if __name__ == "__main__":
    main()
