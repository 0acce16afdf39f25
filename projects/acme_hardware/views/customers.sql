{% extends "sage_evolution/customers.sql" %}
