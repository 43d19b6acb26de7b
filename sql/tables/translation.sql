-- Translated questions and options, one row per question and language.
CREATE SCHEMA IF NOT EXISTS translation;

CREATE TABLE IF NOT EXISTS translation.question (
    language      VARCHAR NOT NULL,
    question_id   VARCHAR NOT NULL,
    text          VARCHAR NOT NULL,
    options       VARCHAR[] NOT NULL,
    translator    VARCHAR NOT NULL,
    translator_version VARCHAR NOT NULL,
    status        VARCHAR NOT NULL CHECK (status IN ('machine', 'reviewed', 'human')),
    translated_at TIMESTAMPTZ NOT NULL,
    back_translation VARCHAR,
    chrf          DOUBLE,
    embedding_similarity DOUBLE,
    quality       DOUBLE NOT NULL,
    problems      VARCHAR[] NOT NULL,
    is_usable     BOOLEAN NOT NULL
);
COMMENT ON TABLE translation.question IS 'Translations with their origin, quality scores and the checks they failed.';
COMMENT ON COLUMN translation.question.language IS 'BCP 47 tag of the translation.';
COMMENT ON COLUMN translation.question.question_id IS 'question_id of the source question.';
COMMENT ON COLUMN translation.question.text IS 'Translated question.';
COMMENT ON COLUMN translation.question.options IS 'Translated options in the source''s order.';
COMMENT ON COLUMN translation.question.translator IS 'Who or what translated: a model version, apertium:<pair>, or a person''s name.';
COMMENT ON COLUMN translation.question.translator_version IS 'Version of the translator.';
COMMENT ON COLUMN translation.question.status IS 'machine, reviewed (a person accepted or edited it) or human (imported).';
COMMENT ON COLUMN translation.question.translated_at IS 'Time of translation, UTC.';
COMMENT ON COLUMN translation.question.back_translation IS 'The translation translated back into the source language; NULL where no translator goes back.';
COMMENT ON COLUMN translation.question.chrf IS 'chrF of the back-translation against the source text, 0 to 100; NULL where there is none.';
COMMENT ON COLUMN translation.question.embedding_similarity IS 'Cosine similarity of the sentence embeddings of back-translation and source, -1 to 1; NULL where there is none.';
COMMENT ON COLUMN translation.question.quality IS 'Overall quality, 0 to 1; the formula stands in the method notes.';
COMMENT ON COLUMN translation.question.problems IS 'Checks that failed, one name each.';
COMMENT ON COLUMN translation.question.is_usable IS 'Whether the translation may enter linguistic results.';
