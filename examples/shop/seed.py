"""Demo data: forty products and a sample of visits, the same on every machine."""

import random
import time

from examples.shop.database import Database

VISITS = 1_000
VIEWS_PER_VISIT = 9
_VISITS_SEED = 1868

# name, category, drawing, price in cents, description
PRODUCTS: tuple[tuple[str, str, str, int, str], ...] = (
    ("Enamel mug", "kitchen", "mug", 1_400, "Holds 350 ml, survives a fall from the pier."),
    ("Linen notebook", "desk", "notebook", 1_600, "192 pages that lie flat, 100 g paper."),
    ("Reading lamp", "light", "lamp", 7_900, "A warm 400 lumens, dimmed by turning the shade."),
    ("Terracotta pot", "garden", "plant", 1_300, "Breathes, so that roots do not drown."),
    ("Canvas bag", "travel", "bag", 2_900, "Waxed, and the straps are sewn twice."),
    ("Copper kettle", "kitchen", "kettle", 8_900, "Boils a litre in four minutes and whistles in D."),
    ("Pocket notebook", "desk", "notebook", 700, "Fits a shirt pocket; the corners are round."),
    ("Workbench lamp", "light", "lamp", 11_500, "Bends to where the work is and stays there."),
    ("Herb planter", "garden", "plant", 3_400, "Room for basil, thyme and something ambitious."),
    ("Weekend bag", "travel", "bag", 12_900, "Two shirts, one book, no waiting at the belt."),
    ("Stoneware bowl", "kitchen", "bowl", 2_200, "Thrown by hand, so no two are quite the same."),
    ("Harbour logbook", "desk", "notebook", 2_400, "A page a day, with room for the tides."),
    ("Storm lantern", "light", "lantern", 4_900, "Burns twelve hours in any wind the harbour has."),
    ("Window fern", "garden", "plant", 2_100, "Asks for shade and a glass of water a week."),
    ("Day pack", "travel", "bag", 7_400, "Eighteen litres and a dry place for the camera."),
    ("Salad bowl", "kitchen", "bowl", 4_600, "Oiled olive wood, large enough for six."),
    ("Brass pencil", "desk", "pencil", 1_900, "Heavy in the hand, refills with 2 mm leads."),
    ("Garden lantern", "light", "lantern", 3_600, "Charges in the sun, lights the path until two."),
    ("Young olive tree", "garden", "plant", 5_900, "Eighty centimetres, with patience more."),
    ("Flask", "travel", "bottle", 3_300, "Half a litre, hot for a day."),
    ("Storage jar", "kitchen", "jar", 1_800, "A cork lid keeps coffee fresh for a month."),
    ("Cedar pencils", "desk", "pencil", 800, "Six in a box, soft enough to sketch with."),
    ("Beeswax candle", "light", "candle", 1_100, "Forty hours, and a faint smell of honey."),
    ("Watering can", "garden", "kettle", 3_900, "Five litres, balanced when full."),
    ("Travel clock", "travel", "clock", 4_200, "Two time zones and a gentle alarm."),
    ("Tall spice jar", "kitchen", "jar", 900, "Stackable, with a label to write on."),
    ("Desk clock", "desk", "clock", 5_400, "Silent, with a second hand you can see."),
    ("Candle set", "light", "candle", 2_500, "Four sizes for one long evening."),
    ("Seed tin", "garden", "box", 2_000, "Twelve packets, sown month by month."),
    ("Folding umbrella", "travel", "umbrella", 3_500, "Nine ribs, tested on the breakwater."),
    ("Carafe", "kitchen", "bottle", 3_100, "Pours without a drop on the cloth."),
    ("Parcel box", "desk", "box", 1_200, "Folds flat, carries eight kilograms."),
    ("Paper lantern", "light", "lantern", 1_700, "Folds to a disc; opens to a moon."),
    ("Rain gauge", "garden", "bottle", 1_500, "Reads to a tenth of a millimetre."),
    ("Walking umbrella", "travel", "umbrella", 6_500, "An ash handle and a canopy for two."),
    ("Travel cup", "kitchen", "mug", 2_700, "Keeps tea hot until the second ferry."),
    ("Letter box", "desk", "box", 3_800, "Beech, with three compartments for the unanswered."),
    ("Bedside lamp", "light", "lamp", 6_200, "Remembers how bright you left it."),
    ("Bird bath", "garden", "bowl", 6_800, "Cast stone; sparrows arrive within the week."),
    ("Compass", "travel", "clock", 4_800, "Liquid-filled; settles in three seconds."),
)


def opening_stock(product_id: int) -> int:
    """Units of a product on the first day."""
    return 240 + product_id * 37 % 160


def seed(database: Database) -> None:
    """Fill an empty database; leave any other as it is. One transaction: all of it or nothing."""
    now = time.time()
    with database.writing() as session:
        if session.row("seed", "SELECT 1 FROM products LIMIT 1"):
            return
        for product_id, (name, category, drawing, price_cents, description) in enumerate(PRODUCTS, start=1):
            stock = opening_stock(product_id)
            session.change(
                "seed",
                "INSERT INTO products (id, name, category, description, drawing, price_cents, stock)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (product_id, name, category, description, drawing, price_cents, stock),
            )
            session.change(
                "seed",
                "INSERT INTO stock_movements (product_id, quantity, reason, at) VALUES (?, ?, 'opening', ?)",
                (product_id, stock, now),
            )
        chance = random.Random(_VISITS_SEED)
        views = [(visit, chance.randint(1, len(PRODUCTS))) for visit in range(VISITS) for _ in range(VIEWS_PER_VISIT)]
        placeholders = ", ".join("(?, ?)" for _ in range(VIEWS_PER_VISIT))
        for first in range(0, len(views), VIEWS_PER_VISIT):
            values = [value for view in views[first : first + VIEWS_PER_VISIT] for value in view]
            session.change("seed", f"INSERT INTO product_views (visit, product_id) VALUES {placeholders}", values)
