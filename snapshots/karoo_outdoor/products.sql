with quantity as (
    select
        stock.item_code,
        coalesce(sum(case when "stock"."warehouse" in ('MAIN') then (coalesce("stock"."on_hand", 0) - coalesce("stock"."reserved", 0)) end), 0) as "qty_Main",
        coalesce(sum(case when "stock"."warehouse" in ('COAST') then (coalesce("stock"."on_hand", 0) - coalesce("stock"."reserved", 0)) end), 0) as "qty_Coast",
        coalesce(sum(case when "stock"."warehouse" in ('MAIN', 'COAST') then (coalesce("stock"."on_hand", 0) - coalesce("stock"."reserved", 0)) end), 0) as qty
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
    (select string_agg(case when "price"."amount" is not null then (coalesce(case when "price_list"."name" like '%,%' or "price_list"."name" like '%:%' or "price_list"."name" like '%"%' then ('"' || coalesce(replace("price_list"."name", '"', '""'), '') || '"') else "price_list"."name" end, '') || ':' || coalesce(cast(cast("price"."amount" as decimal(18, 6)) as varchar), '')) end, ',' order by "price_list"."name") from price
        join price_list on price_list.id = price.list_id
        where price.item_code = item.code and price_list.name <> 'Retail'
) as csv_price_tiers,
    quantity."qty_Main" as "qty_Main",
    quantity."qty_Coast" as "qty_Coast",
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
left join price_list as retail_list on retail_list.name = 'Retail'
left join price as retail on retail.item_code = item.code and retail.list_id = retail_list.id
