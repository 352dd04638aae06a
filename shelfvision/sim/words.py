"""Words printed on packaging: invented brands in several scripts and plain words for contents and flavours."""

# ruff: noqa: RUF001 - letters of other scripts are the point here

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Wording:
    """What the front of a product says."""

    brand: str
    product: str
    flavour: str
    claim: str
    weight: str


_SYLLABLES = {
    "latin": "al be bon cal ca dor del el fa fi gra hel ja ka lan lu ma mi mo na nor no o pa per "
    "ra ri ro sa sol ta tel to val ve vi wes ya zo zen kro bru tri ster lin",
    "cyrillic": "ба во га до же за ка ла ма на по ра со та ум фи ха че ша эл юж яр дар мир",
    "greek": "αλ βε γα δε ελ ζω θα κα λι μα νε ξε ο πα ρι σο τα φι χα ψι",
    "hebrew": "אל בר גל דן הר זיו טל כר לי מור נר סל עז פז צור קל רון שי תו",
    "arabic": "با تا جا دا را زا سا شا صا طا عا فا قا كا لا ما نا ها يا نور",
}
_SYMBOLS = {
    "chinese": "山水清泉金福味香茶米美天然好月花红白王家乐康源春海岛",
    "japanese": "さくらふじやまひかりみどりコカミルソナサラメロ味茶",
    "korean": "한국맛나라고소담백진심우리사랑해오늘미소청정",
}
_SCRIPTS = ("latin", "cyrillic", "greek", "hebrew", "arabic", "chinese", "japanese", "korean")
_SCRIPT_WEIGHTS = (0.62, 0.08, 0.04, 0.07, 0.05, 0.06, 0.04, 0.04)

# kind of content -> (product words by script, flavours); a script without an entry uses Latin words
_CONTENTS: dict[str, tuple[dict[str, tuple[str, ...]], tuple[str, ...]]] = {
    "drink": (
        {
            "latin": ("Juice", "Nektar", "Lemonade", "Cola", "Iced Tea", "Spring Water", "Limo", "Saft", "Soda"),
            "cyrillic": ("Сок", "Лимонад", "Вода"),
            "greek": ("Χυμός", "Νερό"),
            "hebrew": ("מיץ", "מים"),
            "arabic": ("عصير", "ماء"),
            "chinese": ("果汁", "茶", "矿泉水"),
            "japanese": ("お茶", "ジュース"),
            "korean": ("주스", "물"),
        },
        ("Orange", "Apple", "Peach", "Lemon", "Mango", "Cherry", "Zero", "Mint", "Berry", "Classic"),
    ),
    "dairy": (
        {
            "latin": ("Milk", "Yoghurt", "Kefir", "Cream", "Lait", "Milch", "Fil", "Quark"),
            "cyrillic": ("Молоко", "Кефир", "Сметана"),
            "greek": ("Γάλα", "Γιαούρτι"),
            "hebrew": ("חלב", "יוגורט"),
            "arabic": ("حليب", "لبن"),
            "chinese": ("牛奶", "酸奶"),
            "japanese": ("牛乳", "ヨーグルト"),
            "korean": ("우유",),
        },
        ("Natural", "Strawberry", "Vanilla", "Light", "3,5 %", "1,5 %", "Blueberry", "Lactose free", "Honey"),
    ),
    "dry": (
        {
            "latin": (
                "Coffee",
                "Pasta",
                "Rice",
                "Cereal",
                "Müsli",
                "Tea",
                "Flour",
                "Sugar",
                "Cookies",
                "Crackers",
                "Kakao",
                "Soup",
                "Corn Flakes",
                "Noodles",
            ),
            "cyrillic": ("Кофе", "Чай", "Рис", "Мука"),
            "greek": ("Καφές", "Ρύζι"),
            "hebrew": ("קפה", "אורז", "תה"),
            "arabic": ("قهوة", "شاي"),
            "chinese": ("咖啡", "大米", "面条"),
            "japanese": ("コーヒー", "ラーメン"),
            "korean": ("라면", "커피"),
        },
        (
            "Original",
            "Gold",
            "Crunchy",
            "Dark Roast",
            "Honey",
            "Whole grain",
            "Cinnamon",
            "Fine",
            "Classic",
            "Espresso",
        ),
    ),
    "savoury": (
        {
            "latin": (
                "Tomatoes",
                "Corn",
                "Beans",
                "Olives",
                "Tuna",
                "Pesto",
                "Mustard",
                "Ketchup",
                "Pickles",
                "Honey",
                "Jam",
                "Salsa",
            ),
            "cyrillic": ("Горошек", "Икра", "Мёд"),
            "greek": ("Ελιές", "Μέλι"),
            "hebrew": ("חומוס", "זיתים"),
            "arabic": ("زيتون", "عسل"),
            "chinese": ("辣椒酱", "蜂蜜"),
            "japanese": ("みそ", "カレー"),
            "korean": ("김치", "고추장"),
        },
        ("Mild", "Hot", "Sweet", "Organic", "Chopped", "Whole", "Garlic", "Basil", "in Oil", "Extra fine"),
    ),
    "snack": (
        {
            "latin": (
                "Chips",
                "Peanuts",
                "Nachos",
                "Popcorn",
                "Gummi",
                "Choco",
                "Waffles",
                "Pretzels",
                "Nut Mix",
                "Candy",
            ),
            "cyrillic": ("Чипсы", "Орехи", "Конфеты"),
            "greek": ("Πατατάκια",),
            "hebrew": ("במבה", "שוקולד"),
            "arabic": ("شيبس",),
            "chinese": ("薯片", "糖果"),
            "japanese": ("チップス", "チョコ"),
            "korean": ("과자", "새우깡"),
        },
        ("Salted", "Paprika", "Sour Cream", "Barbecue", "Chili", "Cheese", "Honey", "Wasabi", "Sea Salt", "Caramel"),
    ),
    "care": (
        {
            "latin": ("Shampoo", "Hand Cream", "Soap", "Toothpaste", "Shower Gel", "Detergent", "Cleaner", "Lotion"),
            "cyrillic": ("Шампунь", "Мыло"),
            "greek": ("Σαπούνι",),
            "hebrew": ("סבון", "שמפו"),
            "arabic": ("صابون",),
            "chinese": ("洗发水", "牙膏"),
            "japanese": ("シャンプー",),
            "korean": ("치약", "샴푸"),
        },
        ("Aloe", "Sensitive", "Fresh", "Lavender", "Citrus", "Repair", "Mint", "Ocean", "White", "Kids"),
    ),
}
CONTENTS = tuple(_CONTENTS)
_CLAIMS = (
    "BIO",
    "NEW",
    "-20%",
    "100%",
    "VEGAN",
    "XXL",
    "FRESH",
    "No.1",
    "0%",
    "+50%",
    "1+1",
    "ECO",
    "Premium",
    "Extra",
)
SMALL_PRINT = (
    "Ingredients: water, sugar, citric acid, natural flavour, vitamin C. Store in a cool dry place. Best before: lid. "
    "Energie 180 kJ Fett 0,5 g Eiweiss 3,2 g Salz 0,1 g. Peut contenir des traces de noix. Agitare prima dell uso. "
    "Produced in the EU for the Nordic markets. Shake well before opening, keep refrigerated and use within 3 days."
)
_WEIGHTS = {
    "drink": ("330 ml", "0,5 l", "1 l", "1,5 l", "250 ml"),
    "dairy": ("1 l", "500 g", "150 g", "200 ml", "450 g"),
    "dry": ("500 g", "250 g", "1 kg", "375 g", "200 g"),
    "savoury": ("400 g", "340 g", "185 g", "720 ml", "212 ml"),
    "snack": ("175 g", "150 g", "100 g", "300 g", "90 g"),
    "care": ("75 ml", "250 ml", "400 ml", "1 l", "100 ml"),
}


def make_brand(rng: np.random.Generator) -> tuple[str, str]:
    """An invented brand name and the script it is written in."""
    script = str(rng.choice(_SCRIPTS, p=_SCRIPT_WEIGHTS))
    if script in _SYMBOLS:
        symbols = _SYMBOLS[script]
        return "".join(symbols[i] for i in rng.integers(len(symbols), size=rng.integers(2, 4))), script
    syllables = _SYLLABLES[script].split()
    name = "".join(syllables[i] for i in rng.integers(len(syllables), size=rng.integers(2, 4)))
    style = rng.random()
    if style < 0.4:
        return name.upper(), script
    if style < 0.5 and script == "latin":
        return f"{name.capitalize()}'s", script
    return name.capitalize(), script


def product_word(content: str, script: str, rng: np.random.Generator) -> str:
    """What the product is, in the brand's script where we have a word for it."""
    by_script = _CONTENTS[content][0]
    choices = by_script.get(script, by_script["latin"])
    return choices[rng.integers(len(choices))]


def flavour_words(content: str, count: int, rng: np.random.Generator) -> list[str]:
    """``count`` flavours, distinct as long as there are enough of them."""
    flavours = _CONTENTS[content][1]
    order = rng.permutation(len(flavours))
    return [flavours[order[i % len(order)]] for i in range(count)]


def claim_and_weight(content: str, rng: np.random.Generator) -> tuple[str, str]:
    """A word for a badge and a net weight."""
    weights = _WEIGHTS[content]
    return _CLAIMS[rng.integers(len(_CLAIMS))], weights[rng.integers(len(weights))]
