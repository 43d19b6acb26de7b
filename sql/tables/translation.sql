-- Translated questions and options, one row per question and language, and where languages are spoken.
CREATE SCHEMA IF NOT EXISTS translation;

CREATE TABLE IF NOT EXISTS translation.question (
    language      VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    text          VARCHAR NOT NULL,
    options       VARCHAR[] NOT NULL,
    option_origin VARCHAR[] NOT NULL,
    translator    VARCHAR NOT NULL,
    translator_version VARCHAR NOT NULL,
    status        VARCHAR NOT NULL CHECK (status IN ('source', 'machine', 'reviewed', 'human')),
    translated_at TIMESTAMPTZ NOT NULL,
    script        VARCHAR NOT NULL,
    direction     VARCHAR NOT NULL CHECK (direction IN ('ltr', 'rtl')),
    letters       VARCHAR NOT NULL,
    back_translator VARCHAR,
    back_translation VARCHAR,
    chrf          DOUBLE,
    embedding_similarity DOUBLE,
    quality       DOUBLE NOT NULL,
    problems      VARCHAR[] NOT NULL,
    unchecked     VARCHAR[] NOT NULL,
    is_usable     BOOLEAN NOT NULL,
    row_hash      VARCHAR NOT NULL
);
COMMENT ON TABLE translation.question IS 'Translations with their origin, quality scores and the checks they failed.';
COMMENT ON COLUMN translation.question.language IS 'BCP 47 tag of the translation.';
COMMENT ON COLUMN translation.question.question_id IS 'question_id of the source question.';
COMMENT ON COLUMN translation.question.text IS 'Translated question.';
COMMENT ON COLUMN translation.question.options IS 'Translated options in the source''s order.';
COMMENT ON COLUMN translation.question.option_origin IS 'Where each option''s translation is from: human, termbase (reviewed scale or phrase), role (fixed phrase for don''t know and refused), territory (CLDR name), number, machine or source.';
COMMENT ON COLUMN translation.question.translator IS 'Who or what translated the question: a model version, apertium:<pair>, or a person''s name.';
COMMENT ON COLUMN translation.question.translator_version IS 'Version of the translator.';
COMMENT ON COLUMN translation.question.status IS 'machine, reviewed (a person accepted or edited it), human (imported) or source (the question is in this language already).';
COMMENT ON COLUMN translation.question.translated_at IS 'Time of translation, UTC.';
COMMENT ON COLUMN translation.question.script IS 'ISO 15924 code of the language''s script.';
COMMENT ON COLUMN translation.question.direction IS 'ltr or rtl; texts are stored in logical order.';
COMMENT ON COLUMN translation.question.letters IS 'Letters that name the options in prompts; latin: A, B, C in every language.';
COMMENT ON COLUMN translation.question.back_translator IS 'What translated back, with its version; NULL where nothing goes back.';
COMMENT ON COLUMN translation.question.back_translation IS 'The translation translated back into the source language, question and options on a line each; NULL where no translator goes back.';
COMMENT ON COLUMN translation.question.chrf IS 'chrF of the back-translation against the source text, 0 to 100; NULL where there is none.';
COMMENT ON COLUMN translation.question.embedding_similarity IS 'Cosine similarity of the sentence embeddings of back-translation and source, -1 to 1; NULL where there is none.';
COMMENT ON COLUMN translation.question.quality IS 'Overall quality, 0 to 1; the formula stands in docs/translation.md.';
COMMENT ON COLUMN translation.question.problems IS 'Checks that failed, one name each.';
COMMENT ON COLUMN translation.question.unchecked IS 'Checks that could not be made in this language or without a back-translation.';
COMMENT ON COLUMN translation.question.is_usable IS 'Whether the translation may enter linguistic results.';
COMMENT ON COLUMN translation.question.row_hash IS 'Hash of what reaches a prompt: language, question_id, text, options, is_usable.';

CREATE TABLE IF NOT EXISTS translation.speakers (
    language      VARCHAR NOT NULL,
    country       VARCHAR NOT NULL,
    share         DOUBLE NOT NULL,
    official_status VARCHAR
);
COMMENT ON TABLE translation.speakers IS 'Countries that use a language, by CLDR''s territory-language data.';
COMMENT ON COLUMN translation.speakers.language IS 'BCP 47 tag.';
COMMENT ON COLUMN translation.speakers.country IS 'ISO 3166-1 alpha-3 code.';
COMMENT ON COLUMN translation.speakers.share IS 'Share of the population that uses the language, first or later learned, 0 to 1.';
COMMENT ON COLUMN translation.speakers.official_status IS 'official, de_facto_official, official_regional; NULL where it has no status.';
