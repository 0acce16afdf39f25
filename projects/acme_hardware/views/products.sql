{% extends "sage_evolution/products.sql" %}

{% block more %}
    {{ sql.trim(col("StkItem.cBrand")) }} as vendor,
    StkItem.Barcode as {{ "variants.barcode" | ident }},
{% endblock %}

{% block where %}
where StkItem.ServiceItem = 0
{% endblock %}
