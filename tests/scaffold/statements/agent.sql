-- Products of Acme for Stock2Shop
USE [ERP]
GO
SET NOCOUNT ON;
SELECT * FROM (
    SELECT ROW_NUMBER() OVER (ORDER BY source_variant_code) AS row_no, mapped.*
    FROM (
        SELECT
            -- codes
            stk.Code AS 'source_product_code',
            stk.Code AS [source_variant_code],
            LTRIM(stk.Description_1) AS title,
            '' AS body_html,
            '' AS collection,
            grp.Description product_type,
            '' AS tags,
            stk.ucIIBrand AS vendor,
            CASE WHEN stk.ucIIStatus = 'active\publish' THEN 'true'
                 WHEN stk.ucIIStatus = 'delete\unpublish' THEN 'false' END AS product_active,
            stk.Code AS 'variants.sku',
            stk.Bar_Code AS 'variants.barcode',
            CAST(ISNULL(stk.Qty_On_Hand, 0) - ISNULL(stk.QtyOnSO, 0) AS INT) AS 'variants.qty',
            CONVERT(varchar(20), pl.fExclPrice) AS 'variants.price',
            'true' AS 'variants.inventory_management',
            '' AS 'variants.option1', '' AS 'variants.option2',
            'Size' AS option1_name,
            stk.cExtra AS web_note,
            price_trade = t.fExclPrice -- trade
        FROM StkItem stk WITH (NOLOCK)
        JOIN PriceList pl ON pl.iStockID = stk.StockLink AND pl.iList = 1
        LEFT JOIN PriceList t ON t.iStockID = stk.StockLink AND t.iList = 2
        LEFT JOIN GrpTbl grp ON grp.StGroup = stk.ItemGroup
        WHERE stk.ucIIStatus IN ('active\publish', 'delete\unpublish') -- only these
          AND stk.dModified > %(since)s
          AND stk.Price BETWEEN 0 AND 100
    ) AS mapped
) AS paged
WHERE row_no > %(lower)s AND row_no <= %(upper)s
ORDER BY row_no;
GO
