/* output_json.c - a state per place in the grammar, and a bit per open bracket.
 * SPDX-License-Identifier: Apache-2.0 */
#include "server/output/output_json.h"

#include <string.h>

enum state {
    BEGIN, /* the opening brace */
    VALUE,
    VALUE_OR_END, /* after [ */
    KEY,
    KEY_OR_END, /* after { */
    COLON,
    AFTER_VALUE,
    STRING,
    STRING_ESCAPE,
    KEY_STRING,
    KEY_ESCAPE,
    WORD,
    NUMBER_SIGN, /* after - */
    NUMBER_ZERO,
    NUMBER_WHOLE,
    NUMBER_POINT, /* after . */
    NUMBER_PART,
    NUMBER_E,
    NUMBER_E_SIGN,
    NUMBER_POWER,
};

void output_json_begin(struct output_json *json)
{
    *json = (struct output_json){.state = BEGIN};
}

bool output_json_in_string(const struct output_json *json)
{
    return json->state == STRING || json->state == STRING_ESCAPE || json->state == KEY_STRING ||
           json->state == KEY_ESCAPE;
}

static bool in_object(const struct output_json *json)
{
    uint32_t top = json->depth - 1;
    return (json->is_object[top / 8] >> (top % 8) & 1u) != 0;
}

static enum output_json_result go(struct output_json *json, enum state state)
{
    json->state = (uint8_t)state;
    return OUTPUT_JSON_MORE;
}

static enum output_json_result open_bracket(struct output_json *json, bool object)
{
    if (json->depth == LIMIT_JSON_DEPTH) {
        return OUTPUT_JSON_BAD;
    }
    uint8_t bit = (uint8_t)(1u << (json->depth % 8));
    uint8_t *bits = &json->is_object[json->depth / 8];
    *bits = (uint8_t)(object ? *bits | bit : *bits & ~bit);
    json->depth++;
    return go(json, object ? KEY_OR_END : VALUE_OR_END);
}

static enum output_json_result close_bracket(struct output_json *json)
{
    json->depth--;
    json->state = AFTER_VALUE;
    return json->depth == 0 ? OUTPUT_JSON_DONE : OUTPUT_JSON_MORE;
}

static enum output_json_result begin_word(struct output_json *json, const char *word)
{
    json->word = word;
    json->word_at = 1;
    return go(json, WORD);
}

static enum output_json_result begin_value(struct output_json *json, char byte)
{
    switch (byte) {
    case '{':
        return open_bracket(json, true);
    case '[':
        return open_bracket(json, false);
    case '"':
        return go(json, STRING);
    case 't':
        return begin_word(json, "true");
    case 'f':
        return begin_word(json, "false");
    case 'n':
        return begin_word(json, "null");
    case '-':
        return go(json, NUMBER_SIGN);
    case '0':
        return go(json, NUMBER_ZERO);
    default:
        return byte >= '1' && byte <= '9' ? go(json, NUMBER_WHOLE) : OUTPUT_JSON_BAD;
    }
}

static enum output_json_result after_value(struct output_json *json, char byte)
{
    bool object = in_object(json);
    if (byte == ',') {
        return go(json, object ? KEY : VALUE);
    }
    return byte == (object ? '}' : ']') ? close_bracket(json) : OUTPUT_JSON_BAD;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

/* What ends a number is looked at as what follows a value. */
static enum output_json_result end_number(struct output_json *json, char byte)
{
    json->state = AFTER_VALUE;
    return is_blank(byte) ? OUTPUT_JSON_MORE : after_value(json, byte);
}

static enum output_json_result feed_number(struct output_json *json, char byte)
{
    bool exponent = byte == 'e' || byte == 'E';
    switch ((enum state)json->state) {
    case NUMBER_SIGN:
        if (byte == '0') {
            return go(json, NUMBER_ZERO);
        }
        return is_digit(byte) ? go(json, NUMBER_WHOLE) : OUTPUT_JSON_BAD;
    case NUMBER_ZERO:
    case NUMBER_WHOLE:
        if (json->state == NUMBER_WHOLE && is_digit(byte)) {
            return OUTPUT_JSON_MORE;
        }
        if (byte == '.' || exponent) {
            return go(json, exponent ? NUMBER_E : NUMBER_POINT);
        }
        return end_number(json, byte);
    case NUMBER_POINT:
        return is_digit(byte) ? go(json, NUMBER_PART) : OUTPUT_JSON_BAD;
    case NUMBER_PART:
        if (is_digit(byte)) {
            return OUTPUT_JSON_MORE;
        }
        return exponent ? go(json, NUMBER_E) : end_number(json, byte);
    case NUMBER_E:
        if (byte == '+' || byte == '-') {
            return go(json, NUMBER_E_SIGN);
        }
        return is_digit(byte) ? go(json, NUMBER_POWER) : OUTPUT_JSON_BAD;
    case NUMBER_E_SIGN:
        return is_digit(byte) ? go(json, NUMBER_POWER) : OUTPUT_JSON_BAD;
    default: /* NUMBER_POWER */
        return is_digit(byte) ? OUTPUT_JSON_MORE : end_number(json, byte);
    }
}

static enum output_json_result feed_string(struct output_json *json, char byte)
{
    switch ((enum state)json->state) {
    case STRING_ESCAPE:
        return (unsigned char)byte < 0x20 ? OUTPUT_JSON_BAD : go(json, STRING);
    case KEY_ESCAPE:
        return (unsigned char)byte < 0x20 ? OUTPUT_JSON_BAD : go(json, KEY_STRING);
    case STRING:
        if (byte == '"') {
            return go(json, AFTER_VALUE);
        }
        return byte == '\\' ? go(json, STRING_ESCAPE) : OUTPUT_JSON_MORE;
    default: /* KEY_STRING */
        if (byte == '"') {
            return go(json, COLON);
        }
        return byte == '\\' ? go(json, KEY_ESCAPE) : OUTPUT_JSON_MORE;
    }
}

static enum output_json_result feed_word(struct output_json *json, char byte)
{
    if (json->word[json->word_at] != byte) {
        return OUTPUT_JSON_BAD;
    }
    json->word_at++;
    return json->word[json->word_at] == '\0' ? go(json, AFTER_VALUE) : OUTPUT_JSON_MORE;
}

/* Between tokens, white space aside. */
static enum output_json_result feed_between(struct output_json *json, char byte)
{
    switch ((enum state)json->state) {
    case BEGIN:
        return byte == '{' ? open_bracket(json, true) : OUTPUT_JSON_BAD;
    case VALUE_OR_END:
        return byte == ']' ? close_bracket(json) : begin_value(json, byte);
    case KEY_OR_END:
        if (byte == '}') {
            return close_bracket(json);
        }
        return byte == '"' ? go(json, KEY_STRING) : OUTPUT_JSON_BAD;
    case KEY:
        return byte == '"' ? go(json, KEY_STRING) : OUTPUT_JSON_BAD;
    case COLON:
        return byte == ':' ? go(json, VALUE) : OUTPUT_JSON_BAD;
    case AFTER_VALUE:
        return after_value(json, byte);
    default: /* VALUE */
        return begin_value(json, byte);
    }
}

enum output_json_result output_json_feed(struct output_json *json, char byte)
{
    unsigned char value = (unsigned char)byte;
    if (value >= 0xFE) {
        return OUTPUT_JSON_BAD; /* a control token */
    }
    if (output_json_in_string(json)) {
        return feed_string(json, byte);
    }
    if (json->state >= NUMBER_SIGN) {
        return feed_number(json, byte);
    }
    if (json->state == WORD) {
        return feed_word(json, byte);
    }
    return is_blank(byte) && json->state != BEGIN ? OUTPUT_JSON_MORE : feed_between(json, byte);
}
