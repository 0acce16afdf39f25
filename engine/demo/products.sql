-- One row a variant; the aliases are Stock2Shop's field names.
with available as (
    select
        code,
        {% for warehouse in vars.warehouses %}
        sum(case when warehouse = {{ warehouse }} then on_hand - on_order end) as {{ ("qty_" ~ warehouse) | ident }},
        {% endfor %}
        sum(on_hand - on_order) as qty
    from stock
    group by code
)

select
    coalesce(item.style, item.code) as source_product_code,
    item.code as source_variant_code,
    item.descr as title,
    item.notes as body_html,
    item.brand as vendor,
    item.category as product_type,
    item.web as product_active,
    retail.amount as csv_price_tiers,
    {% for name in vars.price_lists.values() %}
    {{ name | ident }}.amount as {{ ("price_" ~ name) | ident }},
    {% endfor %}
    available.qty as "variants.qty",
    {% for warehouse in vars.warehouses %}
    available.{{ ("qty_" ~ warehouse) | ident }} as {{ ("qty_" ~ warehouse) | ident }},
    {% endfor %}
    item.code as "variants.sku",
    item.barcode as "variants.barcode",
    item.weight_kg * 1000 as "variants.grams",
    true as "variants.inventory_management",
    item.size as "variants.option1_value",
    item.colour as "variants.option2_value",
    'Size' as option1_name,
    'Colour' as option2_name
from item
left join available on available.code = item.code
left join price as retail on retail.code = item.code and retail.list_no = 1
{% for number, name in vars.price_lists.items() %}
left join price as {{ name | ident }}
    on {{ name | ident }}.code = item.code and {{ name | ident }}.list_no = {{ number | int }}
{% endfor %}
