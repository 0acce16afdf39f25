{# One row a variant: a size and colour of a style. An item without a style is a product by itself. #}
{% import "macros/dialect.sql" as sql %}
{% set available = sql.available(col("stock.on_hand"), col("stock.reserved")) %}
{% set lists %}
price
        join price_list on price_list.id = price.list_id
        where price.item_code = item.code and price_list.name <> {{ vars.default_list }}
{% endset -%}

with quantity as (
    select
        stock.item_code,
        {% for code, name in vars.warehouses.items() %}
        {{ sql.warehouse_qty(available, col("stock.warehouse"), code) }} as {{ ("qty_" ~ name) | ident }},
        {% endfor %}
        {{ sql.warehouse_qty(available, col("stock.warehouse"), vars.warehouses) }} as qty
    from stock
    group by stock.item_code
)

select
    coalesce(style.code, item.code) as source_product_code,
    item.code as source_variant_code,
    coalesce(style.title, item.title) as title,
    style.story as body_html,
    coalesce(style.brand, item.brand) as vendor,
    style.keywords as tags,
    item.web as product_active,
    retail.amount as "variants.price",
    {{ sql.list_of(sql.tier(col("price_list.name"), col("price.amount")), lists, col("price_list.name")) }} as csv_price_tiers,
    {% for name in vars.warehouses.values() %}
    quantity.{{ ("qty_" ~ name) | ident }} as {{ ("qty_" ~ name) | ident }},
    {% endfor %}
    quantity.qty as "variants.qty",
    item.code as "variants.sku",
    item.barcode as "variants.barcode",
    floor(item.weight_kg * 1000) as "variants.grams",
    true as "variants.inventory_management",
    item.size as "variants.option1_value",
    item.colour as "variants.option2_value"
from item
left join style on style.code = item.style_code
left join quantity on quantity.item_code = item.code
left join price_list as retail_list on retail_list.name = {{ vars.default_list }}
left join price as retail on retail.item_code = item.code and retail.list_id = retail_list.id
