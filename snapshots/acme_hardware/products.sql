select
    StkItem.Code as source_product_code,
    StkItem.StockLink as source_variant_code,
    StkItem.Description_1 as title,
    [StkItem].[ulIIWebStatus] as product_active,
    (
        select max([_etblPriceListPrices].[fInclPrice])
        from _etblPriceListPrices
        where _etblPriceListPrices.iStockID = StkItem.StockLink
            and _etblPriceListPrices.iPriceListNameID = 1
            and _etblPriceListPrices.iWarehouseID = 0
    ) as csv_price_tiers,
    (
        select max([_etblPriceListPrices].[fInclPrice])
        from _etblPriceListPrices
        where _etblPriceListPrices.iStockID = StkItem.StockLink
            and _etblPriceListPrices.iPriceListNameID = 2
            and _etblPriceListPrices.iWarehouseID = 0
    ) as [price_Trade],
    case when StkItem.WhseItem = 1 then (
        select coalesce(sum(case when [WhseMst].[Code] in ('JHB', 'CPT') then (coalesce([WhseStk].[WHQtyOnHand], 0) - coalesce([WhseStk].[WHQtyOnSO], 0)) end), 0)
        from WhseStk
        join WhseMst on WhseMst.WhseLink = WhseStk.WHWhseID
        where WhseStk.WHStockLink = StkItem.StockLink
    ) else (coalesce([StkItem].[Qty_On_Hand], 0) - coalesce([StkItem].[QtyOnSO], 0)) end as [variants.qty],
    (
        select coalesce(sum(case when [WhseMst].[Code] in ('JHB') then (coalesce([WhseStk].[WHQtyOnHand], 0) - coalesce([WhseStk].[WHQtyOnSO], 0)) end), 0)
        from WhseStk
        join WhseMst on WhseMst.WhseLink = WhseStk.WHWhseID
        where WhseStk.WHStockLink = StkItem.StockLink
    ) as [qty_Johannesburg],
    (
        select coalesce(sum(case when [WhseMst].[Code] in ('CPT') then (coalesce([WhseStk].[WHQtyOnHand], 0) - coalesce([WhseStk].[WHQtyOnSO], 0)) end), 0)
        from WhseStk
        join WhseMst on WhseMst.WhseLink = WhseStk.WHWhseID
        where WhseStk.WHStockLink = StkItem.StockLink
    ) as [qty_Cape Town],
    ltrim(rtrim([StkItem].[cBrand])) as vendor,
    StkItem.Barcode as [variants.barcode],
    1 as [variants.inventory_management],
    StkItem.Code as [variants.sku]
from StkItem
where StkItem.ServiceItem = 0
