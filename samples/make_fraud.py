"""Makes samples/fraud: simulated card transactions, of people who pay where they live, and of two kinds of fraud.

    python samples/make_fraud.py

A card that leaked pays several times what its owner does, now and then, for two weeks; at a terminal that was tampered with
payments are copied, for four weeks. Nobody is meant by any of it.
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


@dataclass
class World:
    """Who pays where, and when something is wrong: customers and terminals by the days that they are compromised."""

    random: np.random.Generator
    usual: np.ndarray = field(init=False)
    pace: np.ndarray = field(init=False)
    near: list[np.ndarray] = field(init=False)
    kinds: np.ndarray = field(init=False)

    def __post_init__(self):
        self.usual = self.random.lognormal(3.3, 0.6, CUSTOMERS)
        self.pace = self.random.gamma(4, 0.27, CUSTOMERS)
        homes, shops = self.random.random((CUSTOMERS, 2)), self.random.random((TERMINALS, 2))
        far = np.linalg.norm(homes[:, None] - shops[None], axis=2)
        self.near = [np.argsort(each)[:12] for each in far]
        self.kinds = self.random.integers(len(KINDS), size=TERMINALS)

    def spans(self, count: int, most: int, days: int) -> dict[int, range]:
        """`count` of `most` things by number, each with the days on which it is compromised."""
        chosen = self.random.choice(most, count, replace=False)
        return {
            int(each): range(day, day + days)
            for each in chosen
            for day in [int(self.random.integers(0, DAYS - 3))]
        }


def transactions(random: np.random.Generator) -> list[tuple]:
    """Rows (time, customer, terminal, kind, amount, fraud) in the order of time."""
    world = World(random)
    leaked, tampered = world.spans(30, CUSTOMERS, 14), world.spans(9, TERMINALS, 28)
    rows = []
    for day in range(DAYS + 1):
        for customer in range(CUSTOMERS):
            for _ in range(random.poisson(world.pace[customer])):
                second = int(np.clip(random.normal(50_000, 16_000), 0, 86_399))
                terminal = int(random.choice(world.near[customer]))
                amount = world.usual[customer] * random.lognormal(0, 0.45)
                stolen = day in leaked.get(customer, ()) and random.random() < 0.4
                amount *= random.uniform(3.5, 7) if stolen else 1
                fraud = stolen or day in tampered.get(terminal, ())
                when = START + timedelta(days=day, seconds=second)
                rows.append(
                    (when, customer, terminal, KINDS[world.kinds[terminal]], round(amount, 2), int(fraud))
                )
    return sorted(rows)


def main() -> None:
    OUT.mkdir(exist_ok=True)
    rows = [
        (
            f"T{number:05}",
            when.isoformat(" "),
            f"C{customer:03}",
            f"S{terminal:03}",
            kind,
            f"{amount:.2f}",
            fraud,
        )
        for number, (when, customer, terminal, kind, amount, fraud) in enumerate(
            transactions(np.random.default_rng(SEED)), 1
        )
    ]
    last = (START + timedelta(days=DAYS)).isoformat(" ")
    write("transactions.csv", HEADER, [each for each in rows if each[1] < last])
    write("tomorrow.csv", HEADER[:-1], [each[:-1] for each in rows if each[1] >= last])


def write(name: str, header: tuple, rows: list[tuple]) -> None:
    with open(OUT / name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    frauds = sum(each[-1] for each in rows) if header == HEADER else "unknown"
    print(f"{name}: {len(rows)} transactions, frauds {frauds}")


if __name__ == "__main__":
    main()
