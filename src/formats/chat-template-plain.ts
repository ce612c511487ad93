/** @file The chat template for models that bring none: headings in plain words, so that no new tokens are needed. It knows nothing about rendering. */

/**
 * Every turn is a heading (`### System:`, `### User:`, `### Assistant:`, `### Tool:`), a line break and the content; the assistant's content
 * ends with `eos_token`, and a blank line follows each turn. Tools come first as JSON; a tool call is written as JSON in the assistant's turn.
 */
export const plainChatTemplate = `
{%- if tools %}
{{- '### Tools:\\n' + (tools | tojson) + '\\n\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '### ' + (message.role | capitalize) + ':\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}
{%- if message.content %}
{{- message.content }}
{%- endif %}
{%- for call in message.tool_calls or [] %}
{{- '\\n' if message.content or not loop.first }}
{{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
{%- endfor %}
{{- eos_token }}
{%- endgeneration %}
{%- else %}
{{- message.content }}
{%- endif %}
{{- '\\n\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '### Assistant:\\n' }}
{%- endif %}`;
