"""Every check on translations written by hand: sound ones pass, each kind of sabotage is named."""

import pytest

from opinion_assets.translation.checks import Segments, check, numbers, same_numbers

SOURCE = Segments(
    "In 2010, did most people in Germany not trust the government?",
    ("Very important", "Rather important", "Not very important", "Not at all important", "DK/Refused"),
)
ROLES = ["substantive"] * 4 + ["dont_know_or_refused"]
SOUND = {
    "es": Segments(
        "En 2010, ¿la mayoría de la gente en Alemania no confiaba en el gobierno?",
        ("Muy importante", "Bastante importante", "No muy importante", "Nada importante", "No sabe/No contesta"),
    ),
    "ru": Segments(
        "В 2010 году большинство людей в Германии не доверяло правительству?",
        ("Очень важно", "Скорее важно", "Не очень важно", "Совсем не важно", "Затрудняюсь ответить / отказ от ответа"),
    ),
    "zh": Segments(
        "2010年，德国的大多数人是不是不信任政府？",
        ("非常重要", "相当重要", "不很重要", "一点也不重要", "不知道/拒绝回答"),
    ),
    "tr": Segments(
        "2010 yılında Almanya'daki insanların çoğu hükümete güvenmiyor muydu?",
        ("Çok önemli", "Oldukça önemli", "Pek önemli değil", "Hiç önemli değil", "Bilmiyorum/Cevap vermek istemiyorum"),
    ),
    "ar": Segments(
        "في عام ٢٠١٠، هل كان معظم الناس في ألمانيا لا يثقون بالحكومة؟",
        ("مهم جدًا", "مهم إلى حد ما", "ليس مهمًا كثيرًا", "ليس مهمًا على الإطلاق", "لا أعرف/أرفض الإجابة"),
    ),
    "he": Segments(
        "בשנת 2010, האם רוב האנשים בגרמניה לא סמכו על הממשלה?",
        ("חשוב מאוד", "די חשוב", "לא כל כך חשוב", "כלל לא חשוב", "לא יודע/ת או מסרב/ת לענות"),
    ),
}
WITHOUT_NEGATION = {
    "es": ("no confiaba", "confiaba"),
    "ru": ("не доверяло", "доверяло"),
    "zh": ("不信任", "信任"),
    "tr": ("güvenmiyor", "güveniyor"),
    "ar": ("لا يثقون", "يثقون"),
    "he": ("לא סמכו", "סמכו"),
}


def problems(language: str, text: str | None = None, options: tuple[str, ...] | None = None) -> set[str]:
    sound = SOUND[language]
    translated = Segments(sound.text if text is None else text, sound.options if options is None else options)
    return set(check(SOURCE, translated, language, roles=ROLES).problems)


@pytest.mark.parametrize("language", SOUND)
def test_a_sound_translation_has_no_problem(language: str) -> None:
    assert problems(language) == set()


@pytest.mark.parametrize("language", SOUND)
def test_sabotage_is_named(language: str) -> None:
    sound = SOUND[language]
    swapped = (sound.options[1], sound.options[0], *sound.options[2:])
    number = "٢٠١٠" if language == "ar" else "2010"
    negated, plain = WITHOUT_NEGATION[language]
    assert negated in sound.text
    assert "option_count" in problems(language, options=sound.options[:-1])
    assert "empty_option" in problems(language, options=(*sound.options[:-1], " "))
    assert "options_identical" in problems(language, options=(sound.options[1], *sound.options[1:]))
    assert "options_swapped" in problems(language, options=swapped)
    assert "numbers_changed" in problems(language, text=sound.text.replace(number, "2011"))
    assert "negation_lost" in problems(language, text=sound.text.replace(negated, plain))
    assert {"untranslated", "wrong_script"} & problems(language, text=SOURCE.text, options=SOURCE.options)
    other = "ca" if language == "es" else "es"
    foreign = {
        "es": SOUND["es"],
        "ca": Segments(
            "El 2010, la majoria de la gent d'Alemanya no confiava en el govern?",
            ("Molt important", "Bastant important", "No gaire important", "Gens important", "No ho sap/No contesta"),
        ),
    }[other]
    assert {"wrong_language", "wrong_script"} & problems(language, text=foreign.text, options=foreign.options)


def test_a_lost_country_a_lost_blank_and_a_loop_are_named() -> None:
    sound = SOUND["tr"]
    assert "names_lost" in problems("tr", text=sound.text.replace("Almanya'daki", "Fransa'daki"))
    source = Segments("Do you have a good opinion of ____?", ("Yes", "No"))
    kept = Segments("____ hakkında iyi bir görüşünüz var mı?", ("Evet", "Hayır"))
    lost = Segments("Onun hakkında iyi bir görüşünüz var mı?", ("Evet", "Hayır"))
    roles = ["substantive"] * 2
    assert "placeholder_lost" not in check(source, kept, "tr", roles=roles).problems
    assert "placeholder_lost" in check(source, lost, "tr", roles=roles).problems
    assert "repetitive" in problems("es", text=SOUND["es"].text + " y el gobierno de la gente" * 5)


def test_an_added_negation_of_an_option_is_named() -> None:
    options = ("No es importante", *SOUND["es"].options[1:])
    assert "negation_added" in problems("es", options=options)


def test_what_cannot_be_checked_is_said() -> None:
    """Swahili: no word list, no termbase, no back-translation."""
    translated = Segments(
        "Mwaka 2010, je, watu wengi nchini Ujerumani hawakuiamini serikali?", ("a", "b", "c", "d", "e")
    )
    assert check(SOURCE, translated, "sw", roles=ROLES).unchecked == ("negation_lost", "options_swapped")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234.5 and 12 %", {1234.5: 1, 12.0: 1}),
        ("1.234,5", {1234.5: 1}),
        ("٢٠١٠", {2010.0: 1}),
        ("2 000 000", {2e6: 1}),
    ],
)
def test_numbers_are_read_in_any_notation(text: str, expected: dict[float, int]) -> None:
    assert dict(numbers(text)) == expected


def test_numbers_may_change_between_words_and_digits() -> None:
    assert same_numbers("ten years ago", "hace 10 años")
    assert same_numbers("over the past 10 years", "在过去十年里")
    assert same_numbers("12 people", "十二个人")
    assert not same_numbers("ten years ago", "hace 11 años")
    assert not same_numbers("over the past 10 years", "在过去五年里")
