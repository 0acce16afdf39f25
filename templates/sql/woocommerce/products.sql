{#
  WooCommerce: one row a product without variations, and one a variation. template.toml says what is published, what to
  confirm in the shop, and what the vars mean. A project changes what is in a block, with `super()` where it adds to it.
#}
{% import "macros/dialect.sql" as sql %}
{% set prefix = var("prefix", "wp_", "text") %}
{% set price_key = var("price_key", "_regular_price", "text") %}
{% set price_lists = var("price_lists", {}, "table") %}
{% set tax_percent = var("tax_percent", 0, "number") %}
{% set options = var("options", {}, "table") %}

{#- What stands in the shop's table of values of a post under a key; it is blank where there is nothing. -#}
{% macro meta(post, key) -%}
(
        select max(meta.meta_value)
        from {{ (prefix ~ "postmeta") | ident }} as meta
        where meta.post_id = {{ post }} and meta.meta_key = {{ key }}
    )
{%- endmacro %}

{#- A price under a key, with tax where the shop keeps it without. -#}
{% macro price(key) -%}
{{ sql.try_number(meta(col("item.ID"), key)) }}{% if tax_percent %} * (100 + {{ tax_percent }}) / 100{% endif %}
{%- endmacro %}

{#- The name of a variation's attribute, such as Large for the slug large; the slug where the shop has no such term. -#}
{% macro option(attribute) -%}
{% set slug = meta(col("item.ID"), "attribute_" ~ attribute) -%}
coalesce(
        (
            select max(term.name)
            from {{ (prefix ~ "terms") | ident }} as term
            join {{ (prefix ~ "term_taxonomy") | ident }} as taxonomy on taxonomy.term_id = term.term_id
            where taxonomy.taxonomy = {{ attribute }} and term.slug = {{ slug }}
        ),
        {{ slug }}
    )
{%- endmacro -%}

select
    {% block columns %}
    {% block product %}
    {{ sql.coalesce(sql.cast_text(col("parent.ID")), meta(col("item.ID"), "_sku")) }} as source_product_code,
    {% endblock %}
    {% block variant %}
    {{ meta(col("item.ID"), "_sku") }} as source_variant_code,
    {% endblock %}
    {% block title %}
    coalesce(parent.post_title, item.post_title) as title,
    {% endblock %}
    {% block flag %}
    case when coalesce(parent.post_status, item.post_status) = 'publish' and item.post_status = 'publish' then 'Active'
        else 'Delete'
    end as product_active,
    {% endblock %}
    {% block price %}
    {{ price(price_key) }} as csv_price_tiers,
    {% endblock %}
    {% block prices %}
    {% for key, name in price_lists.items() %}
    {{ price(key) }} as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    {% endblock %}
    {% block qty %}
    {{ sql.try_int(meta(col("item.ID"), "_stock")) }} as {{ "variants.qty" | ident }},
    {% endblock %}
    {% block options %}
    {% for attribute, name in options.items() %}
    {{ option(attribute) }} as {{ ("variants.option" ~ loop.index ~ "_value") | ident }},
    case when parent.ID is not null then {{ name }} end as {{ ("option" ~ loop.index ~ "_name") | ident }},
    {% endfor %}
    {% endblock %}
    {% block more %}
    {% endblock %}
    {% block tracked %}
    case when {{ meta(col("item.ID"), "_manage_stock") }} = 'yes' then 1 else 0 end as {{ "variants.inventory_management" | ident }},
    {% endblock %}
    {% block sku %}
    {{ meta(col("item.ID"), "_sku") }} as {{ "variants.sku" | ident }}
    {% endblock %}
    {% endblock %}
{% block from %}
from {{ (prefix ~ "posts") | ident }} as item
left join {{ (prefix ~ "posts") | ident }} as parent
    on parent.ID = item.post_parent and item.post_type = 'product_variation'
{% endblock %}
{% block where %}
where item.post_type in ('product', 'product_variation')
    and item.post_status <> 'auto-draft'
    and item.ID not in (
        select variation.post_parent
        from {{ (prefix ~ "posts") | ident }} as variation
        where variation.post_type = 'product_variation'
    )
{% endblock %}
